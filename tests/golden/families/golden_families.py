"""Golden runs of the families: an implementation of its own, in PyTorch and float64.

Writes a folder for each family: `init` (Hugging Face's names), `tokens.bin` and `expected.json`. Needs PyTorch; the tests
need only what it wrote. Run: python3 golden_families.py FOLDER
"""
import torch, json, math, os, struct, sys
torch.set_default_dtype(torch.float64)
def save_st(path, tensors):
    hdr={}; off=0; blobs=[]
    for k,v in tensors.items():
        b=v.detach().to(torch.float32).contiguous().numpy().tobytes()
        hdr[k]={"dtype":"F32","shape":list(v.shape),"data_offsets":[off,off+len(b)]}; off+=len(b); blobs.append(b)
    h=json.dumps(hdr).encode(); h+=b' '*((8-len(h)%8)%8)
    open(path,'wb').write(struct.pack('<Q',len(h))+h+b''.join(blobs))
def finish(name,P,fwd,cfg,g,vocab,context,steps,batch):
    d=f'{sys.argv[1]}/{name}/'; os.makedirs(d+'init',exist_ok=True);
    save_st(d+'init/model.safetensors',P)
    json.dump(cfg,open(d+'init/config.json','w'))
    toks=torch.randint(0,vocab,(steps*batch*context+1,),generator=g)
    # learnable pattern
    toks=(toks//8)
    import numpy as np
    toks.numpy().astype('<u2').tofile(d+'tokens.bin')
    lr,min_lr,warm,wd,clip=1e-3,1e-4,2,0.1,1.0
    m={k:torch.zeros_like(v) for k,v in P.items()}; vv={k:torch.zeros_like(v) for k,v in P.items()}
    losses=[];norms=[];lrs=[]
    for it in range(steps):
        x=torch.stack([toks[(it*batch+i)*context:(it*batch+i)*context+context] for i in range(batch)]).long()
        y=torch.stack([toks[(it*batch+i)*context+1:(it*batch+i)*context+context+1] for i in range(batch)]).long()
        loss=torch.nn.functional.cross_entropy(fwd(x).view(-1,vocab),y.view(-1))
        for t in P.values(): t.grad=None
        loss.backward()
        n=math.sqrt(sum(float((t.grad**2).sum()) for t in P.values()))
        f=min(1,clip/(n+1e-6)); l=lr*(it+1)/(warm+1) if it<warm else min_lr+0.5*(1+math.cos(math.pi*(it-warm)/(steps-warm)))*(lr-min_lr)
        losses.append(loss.item());norms.append(n);lrs.append(l)
        with torch.no_grad():
            for k,t in P.items():
                gr=t.grad*f; m[k]=0.9*m[k]+0.1*gr; vv[k]=0.95*vv[k]+0.05*gr*gr
                if t.dim()>=2: t.mul_(1-l*wd)
                t.sub_(l*(m[k]/(1-0.9**(it+1)))/((vv[k]/(1-0.95**(it+1))).sqrt()+1e-8))
    x=toks[:context].long()[None]
    with torch.no_grad(): lp=fwd(x).log_softmax(-1)[0,torch.arange(context-1),toks[1:context].long()]
    json.dump(dict(recipe=dict(batch=batch,steps=steps,warmup=warm,lr=lr,min_lr=min_lr,weight_decay=wd,grad_clip=clip),losses=losses,grad_norms=norms,lrs=lrs,final_log_probabilities_sample0=lp.tolist()),open(d+'expected.json','w'))
    print(name,losses[0],losses[-1],norms[0])
def run(name, family='llama', layers=2, heads=4, kv=2, head_dim=8, embed=32, inner=40, context=32, vocab=96, tied=False, window=0, full=None, scaling=None, theta=10000.0, eps=1e-5, steps=6, batch=4, experts=0, topk=2, norm_topk=True, moe_inner=0, dense_layers=[], cfg_extra={}):
    torch.manual_seed(3)
    g=torch.Generator().manual_seed(5)
    P={}
    def par(n,shape,s=0.02):
        P[n]=(torch.randn(shape,generator=g)*s).to(torch.float32).to(torch.float64).requires_grad_(True)
    def ones(n,c):
        P[n]=(1+0.1*torch.randn(c,generator=g)).to(torch.float32).to(torch.float64).requires_grad_(True)
    par('model.embed_tokens.weight',(vocab,embed),0.3)
    for i in range(layers):
        p=f'model.layers.{i}.'
        ones(p+'input_layernorm.weight',embed)
        for n,o in (('q',heads),('k',kv),('v',kv)):
            par(p+f'self_attn.{n}_proj.weight',(o*head_dim,embed),0.1)
            if family=='qwen2': par(p+f'self_attn.{n}_proj.bias',(o*head_dim,),0.1)
        par(p+'self_attn.o_proj.weight',(embed,heads*head_dim),0.1)
        if family.startswith('qwen3'):
            ones(p+'self_attn.q_norm.weight',head_dim); ones(p+'self_attn.k_norm.weight',head_dim)
        ones(p+'post_attention_layernorm.weight',embed)
        if family=='mixtral':
            par(p+'block_sparse_moe.gate.weight',(experts,embed),0.2)
            for e in range(experts):
                par(p+f'block_sparse_moe.experts.{e}.w1.weight',(inner,embed),0.1)
                par(p+f'block_sparse_moe.experts.{e}.w2.weight',(embed,inner),0.1)
                par(p+f'block_sparse_moe.experts.{e}.w3.weight',(inner,embed),0.1)
        elif family=='qwen3_moe' and i not in dense_layers:
            par(p+'mlp.gate.weight',(experts,embed),0.2)
            for e in range(experts):
                par(p+f'mlp.experts.{e}.gate_proj.weight',(moe_inner,embed),0.1)
                par(p+f'mlp.experts.{e}.up_proj.weight',(moe_inner,embed),0.1)
                par(p+f'mlp.experts.{e}.down_proj.weight',(embed,moe_inner),0.1)
        else:
            par(p+'mlp.gate_proj.weight',(inner,embed),0.1); par(p+'mlp.up_proj.weight',(inner,embed),0.1); par(p+'mlp.down_proj.weight',(embed,inner),0.1)
    ones('model.norm.weight',embed)
    if not tied: par('lm_head.weight',(vocab,embed),0.1)
    def rope():
        inv=1.0/(theta**(torch.arange(0,head_dim,2)/head_dim)); m=1.0
        if scaling:
            t=scaling['rope_type']; f=scaling['factor']
            if t=='linear': inv=inv/f
            elif t=='llama3':
                old=scaling['original_max_position_embeddings']; lo,hi=scaling['low_freq_factor'],scaling['high_freq_factor']
                wl=2*math.pi/inv; sm=(old/wl-lo)/(hi-lo)
                r=torch.where(wl>old/lo,inv/f,inv); mid=(1-sm)*inv/f+sm*inv
                inv=torch.where((wl<=old/lo)&(wl>=old/hi),mid,r)
            elif t=='yarn':
                old=scaling['original_max_position_embeddings']; bf,bs=scaling.get('beta_fast',32),scaling.get('beta_slow',1)
                dim=lambda n: head_dim*math.log(old/(n*2*math.pi))/(2*math.log(theta))
                lo=max(math.floor(dim(bf)),0); hi=min(math.ceil(dim(bs)),head_dim-1)
                if lo==hi: hi+=0.001
                ramp=((torch.arange(head_dim//2)-lo)/(hi-lo)).clamp(0,1); ex=1-ramp
                inv=inv/f*(1-ex)+inv*ex; m=0.1*math.log(f)+1
        a=torch.outer(torch.arange(context).double(),inv); a=torch.cat([a,a],-1)
        return a.cos()*m,a.sin()*m
    cos,sin=rope()
    rot=lambda x: torch.cat([-x[...,head_dim//2:],x[...,:head_dim//2]],-1)
    norm=lambda x,w: x/torch.sqrt((x*x).mean(-1,keepdim=True)+eps)*w
    def fwd(ids):
        B,T=ids.shape; x=P['model.embed_tokens.weight'][ids]
        for i in range(layers):
            p=f'model.layers.{i}.'; h=norm(x,P[p+'input_layernorm.weight'])
            def lin(n,o):
                y=h@P[p+f'self_attn.{n}_proj.weight'].T
                if family=='qwen2': y=y+P[p+f'self_attn.{n}_proj.bias']
                return y.view(B,T,o,head_dim)
            q,k,v=lin('q',heads),lin('k',kv),lin('v',kv)
            if family.startswith('qwen3'): q,k=norm(q,P[p+'self_attn.q_norm.weight']),norm(k,P[p+'self_attn.k_norm.weight'])
            q,k,v=[t.transpose(1,2) for t in (q,k,v)]
            q=q*cos[:T]+rot(q)*sin[:T]; k=k*cos[:T]+rot(k)*sin[:T]
            k=k.repeat_interleave(heads//kv,1); v=v.repeat_interleave(heads//kv,1)
            s=q@k.transpose(-1,-2)/math.sqrt(head_dim)
            d=torch.arange(T)[:,None]-torch.arange(T)[None]
            mask=d<0
            if window and not (full and i in full): mask=mask|(d>=window)
            s=s.masked_fill(mask,-1e300).softmax(-1)
            x=x+(s@v).transpose(1,2).reshape(B,T,-1)@P[p+'self_attn.o_proj.weight'].T
            h=norm(x,P[p+'post_attention_layernorm.weight'])
            if family=='mixtral' or (family=='qwen3_moe' and i not in dense_layers):
                pre='block_sparse_moe.' if family=='mixtral' else 'mlp.'
                names=('w1','w3','w2') if family=='mixtral' else ('gate_proj','up_proj','down_proj')
                pr=(h@P[p+pre+'gate.weight'].T).softmax(-1); w,idx=pr.topk(topk,-1)
                if norm_topk: w=w/w.sum(-1,keepdim=True)
                out=torch.zeros_like(x)
                for e in range(experts):
                    a,b,c=[P[p+pre+f'experts.{e}.{n}.weight'] for n in names]
                    y=(torch.nn.functional.silu(h@a.T)*(h@b.T))@c.T
                    out=out+y*(w*(idx==e)).sum(-1,keepdim=True)
                x=x+out
            else:
                x=x+(torch.nn.functional.silu(h@P[p+'mlp.gate_proj.weight'].T)*(h@P[p+'mlp.up_proj.weight'].T))@P[p+'mlp.down_proj.weight'].T
        x=norm(x,P['model.norm.weight'])
        return x@(P['model.embed_tokens.weight'] if tied else P['lm_head.weight']).T
    cfg=dict(model_type=family,hidden_act='silu',num_hidden_layers=layers,num_attention_heads=heads,num_key_value_heads=kv,hidden_size=embed,intermediate_size=inner,max_position_embeddings=context,vocab_size=vocab,rms_norm_eps=eps,tie_word_embeddings=tied,head_dim=head_dim)
    if scaling: cfg['rope_parameters']=dict(scaling,rope_theta=theta)
    else: cfg['rope_theta']=theta
    if window: cfg['sliding_window']=window
    if full is not None: cfg['layer_types']=['full_attention' if i in full else 'sliding_attention' for i in range(layers)]
    cfg.update(cfg_extra)
    finish(name,P,fwd,cfg,g,vocab,context,steps,batch)
def run_gpt2(name, layers=2, heads=4, embed=32, inner=48, context=32, vocab=96, eps=1e-5, steps=6, batch=4):
    """GPT-2 with the gelu of erf, an inner width of its own, and an untied head."""
    g=torch.Generator().manual_seed(5); P={}; hd=embed//heads
    def par(n,shape,s,start=0):
        P[n]=(start+torch.randn(shape,generator=g)*s).to(torch.float32).to(torch.float64).requires_grad_(True)
    par('wte.weight',(vocab,embed),0.3); par('wpe.weight',(context,embed),0.1)
    for i in range(layers):
        p=f'h.{i}.'
        for n in ('ln_1','ln_2'): par(p+n+'.weight',(embed,),0.1,1); par(p+n+'.bias',(embed,),0.1)
        for n,a,b in (('attn.c_attn',embed,3*embed),('attn.c_proj',embed,embed),('mlp.c_fc',embed,inner),('mlp.c_proj',inner,embed)):
            par(p+n+'.weight',(a,b),0.1); par(p+n+'.bias',(b,),0.1)
    par('ln_f.weight',(embed,),0.1,1); par('ln_f.bias',(embed,),0.1); par('lm_head.weight',(vocab,embed),0.1)
    def fwd(ids):
        B,T=ids.shape; x=P['wte.weight'][ids]+P['wpe.weight'][:T]
        norm=lambda x,n: torch.nn.functional.layer_norm(x,(embed,),P[n+'.weight'],P[n+'.bias'],eps)
        lin=lambda x,n: x@P[n+'.weight']+P[n+'.bias']
        mask=torch.arange(T)[:,None]<torch.arange(T)[None]
        for i in range(layers):
            p=f'h.{i}.'
            q,k,v=[t.view(B,T,heads,hd).transpose(1,2) for t in lin(norm(x,p+'ln_1'),p+'attn.c_attn').split(embed,-1)]
            w=(q@k.transpose(-1,-2)/math.sqrt(hd)).masked_fill(mask,-1e300).softmax(-1)
            x=x+lin((w@v).transpose(1,2).reshape(B,T,-1),p+'attn.c_proj')
            x=x+lin(torch.nn.functional.gelu(lin(norm(x,p+'ln_2'),p+'mlp.c_fc')),p+'mlp.c_proj')
        return norm(x,'ln_f')@P['lm_head.weight'].T
    cfg=dict(model_type='gpt2',activation_function='gelu',n_layer=layers,n_head=heads,n_embd=embed,n_positions=context,n_inner=inner,vocab_size=vocab,layer_norm_epsilon=eps,tie_word_embeddings=False)
    finish(name,P,fwd,cfg,g,vocab,context,steps,batch)
L3=dict(rope_type='llama3',factor=8.0,low_freq_factor=1.0,high_freq_factor=4.0,original_max_position_embeddings=16)
run('llama3_tied',scaling=L3,tied=True,kv=1)
run('llama_linear_odd',heads=6,kv=3,head_dim=6,scaling=dict(rope_type='linear',factor=4.0))
run('llama_yarn',scaling=dict(rope_type='yarn',factor=4.0,original_max_position_embeddings=8),theta=50000.0)
run('mistral_window','mistral',window=7)
run('qwen2','qwen2',window=9,full=[0],cfg_extra=dict(use_sliding_window=True),tied=True)
run('qwen3','qwen3',head_dim=12,eps=1e-6)
run('mixtral','mixtral',experts=4,inner=24,cfg_extra=dict(num_local_experts=4,num_experts_per_tok=2,sliding_window=None))
run('qwen3_moe','qwen3_moe',experts=5,moe_inner=16,layers=3,dense_layers=[1],norm_topk=False,cfg_extra=dict(num_experts=5,num_experts_per_tok=2,moe_intermediate_size=16,mlp_only_layers=[1],norm_topk_prob=False))
run_gpt2('gpt2_erf_untied')
